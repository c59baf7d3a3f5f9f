"""Given names that tell people from other capitalised words: `KESSLER, Otto`, `OTTO KESSLER`.

A list of our own, of many languages and far from complete. Names that are words of English, too
(Will, May, Max), are left out.
"""

_NAMES = """
aaron abdul abdullah abel abigail achim ada adam adele adrian adriana agnes ahmad ahmed aisha
akira alan albert alberto alejandra alejandro aleksander alessandro alex alexander alexandra
alexandre alexei alfonso alfred ali alice alicia alina alison allison alma alvaro amanda amelia
amina amir amy ana anastasia anders andrea andreas andrei andrew andrzej andré angela angelica
angelo anil anita anja ann anna anne annette annika anthony antoine anton antonia antonio anya
arjun arthur arturo astrid asuka axel aya ayşe barbara bart bartosz beatrice beatriz ben benedikt
benjamin benoît bernard bernd bernhard bianca birgit bjorn björn bob boris brandon brenda brian
brigitte bruce bruno burak camila camille carina carl carla carlo carlos carmen carol carolina
caroline caterina catherine cecilia chantal charles charlie charlotte chen chiara chloe chris
christa christian christiane christina christine christoph christophe christopher claire clara
claudia claudio claus clemens cristina cynthia dagmar daisuke dana daniel daniela danielle dario
david deborah deepak denis dennis derek diana diego dieter dietmar dimitri dmitri dominik
dominique donald donna dora doris dorothea dorothy douglas edgar edith eduardo edward edwin
eleanor elena elias elif elisa elisabeth elise elizabeth elke ella ellen elsa emil emilia emilio
emily emine emma emmanuel enrico enrique eric erica erich erik erika ernst esteban esther ethan
eugene eva evelyn fabian fatima fatma federico felicia felipe felix ferdinand fernanda fernando
filip florence florian francesca francesco francine francis francisco franco frank franz françois
françoise frederic frederick frida frieda friedrich fritz gabriel gabriela gabriele gary georg
george georges gerald gerard gerd gerhard gertrud gianluca gilbert giovanni giulia giuseppe gloria
gonzalo gordon grace greg gregor gregory greta guido guillaume gunnar gustav guy günter günther
hana hanna hannah hannes hans harald harold harry haruto hasan hassan heather hector heidi heike
heiko heinrich heinz helen helena helga helmut henri henrik henry herbert hermann hilda hiroshi
holger horst howard hubert hugo hussein ian ibrahim ida ignacio igor ines inga inge ingrid irena
irene irina iris isaac isabel isabella isabelle ivan jack jacob jacqueline jacques jakob jakub
james jan jana jane janet janine jasmin jason javier jean jeff jeffrey jelena jennifer jens jeremy
jerome jerry jessica jesús jim joachim joan joanna joaquin johan johann johanna johannes john
jonas jonathan jorge josef joseph joshua josé joyce juan juana juanita judith julia julian juliana
julie julien jörg jürgen kai karen karim karin karina karl karla karolina katarina kate katharina
katherine kathleen kathrin katja katrin kazuki keiko keith kemal ken kenji kenneth kerstin kevin
khalid kim klaus konrad kristin kristina kumar kurt lakshmi lara larry lars laura lauren laurence
laurent lea leila lena leo leon leonard leonardo leonie lillian linda lisa lorena lorenzo lothar
louis louise luca lucas lucia luciano lucie lucy ludwig luigi luis luisa luise lukas luke lutz
lydia madeleine magdalena mahmoud maja malik manfred manuel manuela marc marcel marcella marcello
marco marcos marcus marek margaret margarita margit margot maria mariana marianne marie marina
mario marion marlene marta martha martin martina mary mateo mathias mathieu matilda matteo matthew
matthias maurice mauricio maximilian mehmet mei melanie melissa michael michaela michel michele
michelle miguel mika mikael mikhail mila milan milena miriam mohamed mohammad mohammed monica
monika monique muhammad murat mustafa nadia nadine nancy naomi natalia natalie natasha nathalie
nathan neil nicholas nick nicola nicolas nicole niels niklas nikolai nils nina noah nora norbert
norma olaf olga oliver olivia olivier omar oscar oskar otto pablo pamela paola paolo pascal
patricia patrick patrizia paul paula pauline paulo pawel pedro penelope peter petra philip philipp
philippe pierre piotr priya rachel rafael rahul raj ralf ralph ramon raphael raquel raul raymond
rebecca regina reiner reinhard renate rené ricardo riccardo richard rita robert roberta roberto
robin rodrigo roger roland rolf roman ronald rosa rosemarie roswitha roxana ruben rudolf rupert
russell ruth ryan rüdiger sabine sabrina sakura salma samantha samir samuel sandra sanjay santiago
sara sarah scott sean sebastian selma sergei sergio sharon shirley siegfried sigrid silke silvia
simon simone sofia sonia sonja sophia sophie stefan stefania stefanie stefano stella stephan
stephanie stephen steve steven sunita susan susanna susanne suzanne sven svetlana sylvia tamara
tanja tatiana tatjana teresa theo theodor theresa thomas thorsten tim timo timothy tobias tom
tomas tomasz torsten ulrich ulrike ursula uta ute uwe valentina valeria vanessa vera veronica
vicente victor victoria vijay viktor viktoria vincent viola virginia vladimir volker walter
waltraud wanda wang wei werner wilhelm willem william winston wolfgang xavier xin yan yasmin
yolanda yuki yuri yusuf yves yvonne zainab zoe zofia zoë
"""
GIVEN_NAMES = frozenset(_NAMES.split())
